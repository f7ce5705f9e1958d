"""The witness of segment 6B (T10): does fraud follow the world's risk, without shortcuts?"""
