"""Who and where, in characters: names, addresses and numbers that belong to nobody.

Pure laws, arrays in and arrays out. A law is built once from the policy, the seed and the list of
countries; its functions take columns of a shard and return `text.Text` (bytes and offsets) or
codes of a word list. Every identifier is a bijection of a counter that the caller gives: unique
counters give unique identifiers, equal counters equal ones, whatever the shard.

| module | columns |
|---|---|
| `names` | given and family names as codes, names of firms |
| `emails` | e-mail addresses of persons and firms |
| `addresses` | street addresses, postal codes |
| `numbers` | phone numbers, IBANs, tax ids |
| `cards` | card numbers, wallet tokens |
| `networks` | IP addresses, autonomous systems |
"""
