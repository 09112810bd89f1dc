"""Money as the bank tells of it: its statements of the two accounts that a currency has there, what
their entries are matched with, and what lies in suspense."""
