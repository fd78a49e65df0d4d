"""JSON Schema's ``format`` as GBNF: the inside of a string, and the rules it refers to."""

# Lengths are bounded: a small model that may go on for ever will.
FORMATS = {
    "date": "date",
    "time": "time",
    "date-time": 'date "T" time',
    "uuid": "hex{8} ([-] hex{4}){3} [-] hex{12}",
    "email": '[a-zA-Z0-9_%+-]{1,32} ("." [a-zA-Z0-9_%+-]{1,32})? "@" label ("." label)? "." [a-zA-Z]{2,20}',
    "hostname": 'label ("." label){0,4}',
    "ipv4": 'octet ("." octet){3}',
    "ipv6": "hex{1,4} ([:] hex{1,4}){7}",
    "uri": '[a-z] [a-z0-9+.-]{0,15} "://" [a-zA-Z0-9.-]{1,100} (":" [0-9]{1,5})? '
    '("/" [a-zA-Z0-9._~!$&()*+,;=:@%?#-]{0,60}){0,12}',
}
PARTS = {
    # The 29th of February is left out: a grammar does not know leap years.
    "date": '[0-9]{4} "-" (("0" [13578] | "1" [02]) "-" (day | "29" | "30" | "31") '
    '| ("0" [469] | "11") "-" (day | "29" | "30") | "02-" day)',
    "day": '"0" [1-9] | "1" [0-9] | "2" [0-8]',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [+-] offset)',
    "offset": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]',
    "hex": "[0-9a-fA-F]",
    "octet": '"25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9]? [0-9]',
    "label": "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,60} [a-zA-Z0-9])?",
}
