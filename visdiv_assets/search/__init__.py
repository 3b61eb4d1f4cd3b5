"""Which vectors are close: exact joins at a threshold, and the saved FAISS indexes.

Belongs here: functions over matrices of unit vectors. Does not: where the vectors come from, or what a close pair
means.
"""
