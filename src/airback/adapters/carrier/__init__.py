"""Carriers: TMF654 moves airtime, CAMARA tells who somebody is. Each adapter passes the conformance suite."""
