"""Staff: roles and what they may do, passwords, and what takes two people."""
