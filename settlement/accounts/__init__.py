"""Where partners are paid: their bank accounts, signed by them and let in by two operators."""
