"""What the topics show, computed: data frames from the results, and what they say in words; nothing is drawn here."""
