"""What a model is: exact descriptions of decoders, encoders, denoisers and autoencoders."""
