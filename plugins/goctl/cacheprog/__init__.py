"""Go's compile actions from other machines: a server of the go command's GOCACHEPROG protocol over go's own cache."""
