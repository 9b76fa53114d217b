"""The neural network and how it learns: pure numpy, no files, no units. Everything here is written out by hand.

network.py    neurons, layers, feedforward, backpropagation
losses.py     how wrong an output is: mean squared error, log-loss
plain.py      one person at a time, in plain floats
descent.py    damped Gauss-Newton steps, among people merged more or less
trainers.py   how to become less wrong: stochastic gradient descent, Gauss-Newton
"""
