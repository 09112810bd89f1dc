"""A partner's stream as it grows: who waits for it, and how it is sent."""
