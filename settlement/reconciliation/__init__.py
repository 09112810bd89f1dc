"""A partner's own file of a window against the exchange's lines: what differs, and what becomes of
each difference.

`mapping` says how a partner writes its file, `reading` and `checking` make a table of it or say
what is wrong with it, `lines` makes one of ours, `matching` joins the two and `differences` names
what differs. All that works on files alone, in a process of its own (`apart`). `following` holds
what was found against what was known, `store` keeps it, and `service` answers for it.
"""
