"""Numbers that papers print, one file a paper; `mapping` says how they were put in our words."""
