"""`agentprogress doctor`: looks at a server as its clients see it, and names the line to change."""
