"""The servers that are measured, one file for each; nothing in here measures anything."""
