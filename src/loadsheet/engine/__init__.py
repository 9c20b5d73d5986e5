"""The real executors: they lower step plans to tensors and run them with torch."""
