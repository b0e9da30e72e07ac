"""Acts on runs: submit, drive, retry, steer, look; and what a run can be made of: jobs, parameters, previews."""
