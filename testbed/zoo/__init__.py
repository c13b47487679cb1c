"""Small classifiers with the images and answers that belong to them, shipped inside the package.

Takes a folder with a ``catalog.toml``; gives models, samples and stored answers whose hashes were checked.
Does not know any runtime: who runs a model, on which board and how fast, is said elsewhere.
"""
