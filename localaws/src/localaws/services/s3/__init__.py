"""S3: moto stores buckets and objects. Here is what moto leaves out.

Event notifications are complete, in AWS's form, and sent after the request. Browser uploads have to
keep to their signed policy. Everything can be kept on disk.
"""
