"""What is done with answers: shown, written, sent, acted on."""
