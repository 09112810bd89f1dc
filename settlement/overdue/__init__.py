"""What follows where a partner does not pay: reminders, draws, holds and unwinds."""
