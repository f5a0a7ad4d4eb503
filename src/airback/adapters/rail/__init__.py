"""Ways of paying out: Alipay over its open platform's gateway, platform credit inside the ledger."""
