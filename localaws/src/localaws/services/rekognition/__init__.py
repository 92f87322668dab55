"""Rekognition among the other services: its requests, its images in S3, its permissions.

The implementation is :mod:`localaws.rekognition`, which also runs alone and knows none of them.
"""
