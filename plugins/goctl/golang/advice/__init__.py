"""What is wrong with Go's settings, and with where its folders lie; why that matters here, and the line that mends it."""
