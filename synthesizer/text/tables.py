"""What signs, units, currencies and abbreviations are called; knows nothing of how they are found in a text."""

# Characters that become something that the later steps read, or nothing. Keys are matched after compatibility
# folding (NFKC), which has already turned full-width forms, ligatures and "…" into plain ones.
CHARACTERS: dict[str, str] = {
    **dict.fromkeys("‘’‚‛ʼʹ′´`＇", "'"),
    **dict.fromkeys("“”„‟″«»‹›「」『』〝〞〟", '"'),
    **dict.fromkeys("‐‑⁃", "-"),
    **dict.fromkeys("–‒", "–"),
    **dict.fromkeys("—―⸺⸻", " -- "),
    "−": "-",
    **dict.fromkeys("(<[)>]|⟨⟩【】〈〉《》〔〕", ", "),
    **dict.fromkeys("•·●▪◦‣■□○★☆", ", "),
    **dict.fromkeys("。｡．", ". "),
    **dict.fromkeys("、，،", ", "),
    "؟": "? ",
    "؛": "; ",
    "\u037e": "? ",
    "⁇": "?",
    "¿": "",
    "¡": "",
    "⁄": "/",
    "∕": "/",
    "&": " and ",
    "©": " copyright ",
    "®": "",
    "™": "",
    "§": " section ",
    "¶": " paragraph ",
    "×": " times ",
    "÷": " divided by ",
    "±": " plus or minus ",
    "≈": " about ",
    "≠": " is not equal to ",
    "≤": " less than or equal to ",
    "≥": " greater than or equal to ",
    "∞": " infinity ",
    "√": " square root of ",
    "→": " to ",
    "†": "",
    "‡": "",
    "№": " No. ",
    "µ": "μ",
    "‰": " per mille ",
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0f", ""),
}

# Left over after everything that gives them a particular meaning.
SIGNS: dict[str, str] = {
    "+": " plus ",
    "=": " equals ",
    "%": " percent ",
    "@": " at ",
    "#": " hash ",
    "/": " slash ",
    "\\": " backslash ",
    "°": " degrees ",
    "$": " dollars ",
    "£": " pounds ",
    "€": " euros ",
    "¥": " yen ",
    "¢": " cents ",
    "₹": " rupees ",
}

# Sign: (one, many, one hundredth, hundredths).
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "₽": ("rouble", "roubles", "kopek", "kopeks"),
    "₺": ("lira", "liras", "", ""),
}
CURRENCY_CODES = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
SCALES = {
    "thousand": "thousand", "million": "million", "billion": "billion", "trillion": "trillion",
    "k": "thousand", "m": "million", "mn": "million", "mio": "million", "bn": "billion", "b": "billion",
    "tn": "trillion",
}  # fmt: skip

# After a number: (one, many). Letters count: "MB" is not "mb".
UNITS: dict[str, tuple[str, str]] = {
    "km": ("kilometer", "kilometers"), "m": ("meter", "meters"), "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"), "μm": ("micrometer", "micrometers"), "nm": ("nanometer", "nanometers"),
    "mi": ("mile", "miles"), "ft": ("foot", "feet"), "yd": ("yard", "yards"), "yds": ("yard", "yards"),
    "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "mg": ("milligram", "milligrams"),
    "μg": ("microgram", "micrograms"), "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"), "l": ("liter", "liters"), "L": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"), "mL": ("milliliter", "milliliters"), "cl": ("centiliter", "centiliters"),
    "KB": ("kilobyte", "kilobytes"), "kB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"), "Mb": ("megabit", "megabits"),
    "Mbps": ("megabit per second", "megabits per second"), "Gbps": ("gigabit per second", "gigabits per second"),
    "GiB": ("gibibyte", "gibibytes"), "MiB": ("mebibyte", "mebibytes"), "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"),
    "W": ("watt", "watts"), "kW": ("kilowatt", "kilowatts"), "MW": ("megawatt", "megawatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"), "V": ("volt", "volts"), "mV": ("millivolt", "millivolts"),
    "mAh": ("milliamp hour", "milliamp hours"), "J": ("joule", "joules"), "kJ": ("kilojoule", "kilojoules"),
    "kcal": ("kilocalorie", "kilocalories"), "cal": ("calorie", "calories"), "Pa": ("pascal", "pascals"),
    "hPa": ("hectopascal", "hectopascals"), "dB": ("decibel", "decibels"), "mph": ("mile per hour", "miles per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"), "kmh": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second"),
    "rpm": ("revolution per minute", "revolutions per minute"), "fps": ("frame per second", "frames per second"),
    "dpi": ("dot per inch", "dots per inch"), "px": ("pixel", "pixels"), "s": ("second", "seconds"),
    "sec": ("second", "seconds"), "secs": ("second", "seconds"), "ms": ("millisecond", "milliseconds"),
    "μs": ("microsecond", "microseconds"), "ns": ("nanosecond", "nanoseconds"), "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"), "h": ("hour", "hours"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"),
    "yr": ("year", "years"), "yrs": ("year", "years"), "ha": ("hectare", "hectares"),
    "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"), "%": ("percent", "percent"), "¢": ("cent", "cents"),
    "sq ft": ("square foot", "square feet"), "sq. ft.": ("square foot", "square feet"),
}  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip

# With or without a full stop, at any case: "Mr. Smith", "MR SMITH".
TITLES: dict[str, str] = {
    "mr": "Mister", "mrs": "Missis", "ms": "Miz", "messrs": "Messers", "prof": "Professor", "rev": "Reverend",
    "gen": "General", "col": "Colonel", "capt": "Captain", "lt": "Lieutenant", "sgt": "Sergeant",
    "maj": "Major", "hon": "Honorable", "gov": "Governor", "sen": "Senator", "rep": "Representative",
    "pres": "President", "adm": "Admiral", "cpl": "Corporal", "pvt": "Private", "supt": "Superintendent",
}  # fmt: skip
# These are words too without a full stop, or may end a sentence with one.
ABBREVIATIONS: dict[str, str] = {
    "jr": "Junior", "sr": "Senior", "co": "Company", "corp": "Corporation", "inc": "Incorporated",
    "ltd": "Limited", "bros": "Brothers", "dept": "Department", "est": "Established", "approx": "approximately",
    "ave": "Avenue", "blvd": "Boulevard", "rd": "Road", "ln": "Lane", "hwy": "Highway", "apt": "Apartment",
    "mt": "Mount", "ft": "Fort", "univ": "University", "assn": "Association", "govt": "Government",
    "vs": "versus", "etc": "et cetera", "esp": "especially", "incl": "including", "max": "maximum",
    "min": "minimum", "avg": "average", "tel": "telephone", "cf": "compare", "al": "al", "viz": "namely",
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday",
    "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
    "feb": "February", "aug": "August", "sept": "September", "sep": "September", "oct": "October",
    "nov": "November", "dec": "December", "esq": "Esquire", "hrs": "hours", "mins": "minutes", "secs": "seconds",
}  # fmt: skip
# Only before a number.
NUMBERED: dict[str, str] = {
    "no": "number", "nos": "numbers", "nr": "number", "fig": "figure", "figs": "figures", "vol": "volume",
    "ch": "chapter", "chap": "chapter", "p": "page", "pp": "pages", "sec": "section", "eq": "equation",
    "art": "article", "ver": "version", "v": "version", "ca": "about", "c": "about",
}  # fmt: skip
DOTTED: dict[str, str] = {
    "e.g": "for example", "i.e": "that is", "a.k.a": "also known as", "n.b": "note", "ph.d": "P H D",
    "p.s": "P S", "a.m": "ay M", "p.m": "P M",
}  # fmt: skip

# Roman numerals are ordinals after the first ("Henry VIII"), numbers after the second ("Chapter IV").
REGNAL = frozenset(
    [
        "Henry", "Louis", "George", "Edward", "Elizabeth", "Charles", "James", "William", "Richard",
        "Mary", "John", "Paul", "Pius", "Benedict", "Francis", "Napoleon", "Catherine", "Peter",
        "Alexander", "Nicholas", "Frederick", "Philip", "Ferdinand", "Ivan", "Leo", "Gregory", "Innocent",
        "Clement", "Urban", "Julius", "Otto", "Leopold", "Wilhelm", "Friedrich", "Robert", "David",
        "Malcolm", "Alfonso", "Gustav", "Christian", "Ramses", "Ptolemy", "Cleopatra", "Xerxes", "Darius",
        "Augustus", "Sigismund", "Umberto", "Victor", "Emmanuel", "Haakon", "Olaf", "Canute", "Harold",
        "Albert",
    ]  # fmt: skip
)
COUNTED = frozenset(
    [
        "Chapter", "Part", "Book", "Volume", "Act", "Scene", "Section", "Article", "Phase", "Type",
        "Level", "Figure", "Table", "Class", "Grade", "Appendix", "Mark", "War", "Apollo", "Title",
        "Stage", "Category", "Group", "Division", "Bowl", "Fantasy", "Rocky", "Canto", "Psalm",
        "Symphony", "Number",
    ]  # fmt: skip
)

TOP_LEVEL_DOMAINS = (
    "com|org|net|edu|gov|io|ai|dev|app|info|biz|me|tv|co|uk|us|ca|de|fr|nl|eu|au|jp|in|ch|xyz|online|site|tech"
)
URL_SIGNS: dict[str, str] = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and",
    "%": "percent", "#": "hash", "~": "tilde", ":": "colon", "+": "plus", "@": "at",
}  # fmt: skip
