"""The operator's own money in a currency: what it owes for bonuses, and the fees it takes out."""
