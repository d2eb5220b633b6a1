"""What a run, its launcher and its workers share: the agenda, who hears of it, a folder."""
