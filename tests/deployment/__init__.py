"""Real processes on loopback: a SuperLink, a gateway, links and gates, over TLS and with node authentication."""
