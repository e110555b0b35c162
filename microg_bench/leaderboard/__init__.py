"""The leaderboard room: scorecards become tables."""
