"""Instructions between the cores of a logical NeuronCore."""
