"""What the networks predict, optimised directly for one person under the same losses.

frames -> landmarks lead -> light -> identity and albedo -> corrections
       -> PersonModel, Tracking
"""
