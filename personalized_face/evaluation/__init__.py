"""Benchmarks, the paper's tables and figures: how good a system is, and how fast.

samples --predictor (a run, the prior, a detector, files)--> Prediction
Prediction, truth --metrics/--> a figure per image --> tables, figures, a report
"""
