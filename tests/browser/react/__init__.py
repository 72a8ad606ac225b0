"""Components made with the package's React part, on each version of React that it supports."""
