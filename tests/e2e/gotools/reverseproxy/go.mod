// Go's own reverse proxy, which the bench sets beside the gateway.
module gotools/reverseproxy

go 1.26.0
