"""Submissions: scored runs packed for the leaderboard, and the loading and checking of those of others."""
