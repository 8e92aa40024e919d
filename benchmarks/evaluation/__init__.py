"""How right the answers of a bundle are, measured through the runtime that users have."""
