"""`airback bench`: what a day's work costs here, each figure beside a yardstick that ran in the same minute."""
