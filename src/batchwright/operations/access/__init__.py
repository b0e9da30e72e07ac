"""Who may do what, who the users are, and what they did: permissions, users, the audit trail and its seals."""
