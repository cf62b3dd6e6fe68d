"""Isolation: running an implementation in a child process with limits on time and memory."""
