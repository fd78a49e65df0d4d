"""Conversations: kept as trees of messages, fitted into a model's window, asked one turn at a time."""
