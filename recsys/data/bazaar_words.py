"""The vocabulary of `bazaar`: departments, kinds of goods and moods of a small shop that does not exist.

The order of every tuple here is part of the generator: moving a word changes each world made from a seed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of goods: how it is shelved, what it may be called, and what it is for."""

    shelf: str
    nouns: tuple[str, ...]
    uses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """A department of the shop. A buyer of one of its kinds tends to want the next in the tuple, round and round."""

    name: str
    materials: tuple[str, ...]
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Mood:
    """A mood that goods of any department can have: words for titles, sentences for descriptions."""

    name: str
    words: tuple[str, ...]
    sentences: tuple[str, ...]


DEPARTMENTS: tuple[Department, ...] = (
    Department(
        "Lamps and Lanterns",
        ("Brass", "Rice Paper", "Tin", "Smoked Glass", "Wrought Iron", "Beeswax"),
        (
            Kind(
                "Lanterns", ("Lantern", "Storm Lantern", "Hand Lantern"), ("lights a doorstep", "hangs from any hook")
            ),
            Kind("Lamp oil", ("Lamp Oil", "Lantern Fuel", "Wick Oil"), ("burns clean", "feeds a lantern for a week")),
            Kind("Candles", ("Candle", "Pillar Candle", "Taper Set"), ("burns for nine hours", "lights a long supper")),
            Kind("Candlesticks", ("Candlestick", "Snuffer", "Sconce"), ("keeps wax off the cloth", "holds the flame")),
        ),
    ),
    Department(
        "Tea Counter",
        ("Smoked Leaf", "Jasmine", "Bergamot", "Stoneware", "Mountain Leaf", "Mint"),
        (
            Kind("Loose teas", ("Black Tea", "Green Tea", "Herb Tea"), ("steeps in four minutes", "fills forty cups")),
            Kind("Teapots", ("Teapot", "Gaiwan", "Brewing Jug"), ("pours without a drip", "brews for three")),
            Kind("Cups", ("Tea Bowl", "Tea Cup", "Saucer Pair"), ("sits warm in the palm", "holds one good brew")),
            Kind("Caddies", ("Tea Caddy", "Leaf Scoop", "Tea Tin"), ("keeps leaves dry", "measures a spoon of leaf")),
        ),
    ),
    Department(
        "Kites and Wind",
        ("Ripstop", "Silk", "Bamboo", "Spruce", "Carbon Rod", "Painted Cotton"),
        (
            Kind("Kites", ("Delta Kite", "Box Kite", "Diamond Kite"), ("climbs in a light breeze", "flies steady")),
            Kind("Kite lines", ("Kite Line", "Line Winder", "Flying Reel"), ("lets out sixty metres", "never snarls")),
            Kind("Tails", ("Ribbon Tail", "Streamer", "Spinning Tail"), ("steadies a nervous kite", "trails in wind")),
            Kind("Windmills", ("Pinwheel", "Windsock", "Wind Spinner"), ("turns in a breath of wind", "shows a gust")),
        ),
    ),
    Department(
        "Hand Tools",
        ("Ash Handled", "Forged Steel", "Boxwood", "Bronze", "Oiled Beech", "Waxed Canvas"),
        (
            Kind("Planes", ("Block Plane", "Smoothing Plane", "Spokeshave"), ("takes a thin shaving", "trues an edge")),
            Kind("Chisels", ("Bench Chisel", "Gouge", "Mortise Chisel"), ("pares a joint", "cuts a clean mortise")),
            Kind("Sharpening", ("Whetstone", "Honing Strop", "Slip Stone"), ("puts back an edge", "hones a blade")),
            Kind("Tool storage", ("Tool Roll", "Tool Chest", "Saw Till"), ("keeps blades apart", "holds a workshop")),
        ),
    ),
    Department(
        "Board and Card Games",
        ("Linen Finish", "Lacquered", "Birch Ply", "Pressed Card", "Walnut", "Enamel"),
        (
            Kind("Tile games", ("Tile Game", "Map Game", "Domino Set"), ("plays in an hour", "seats two to four")),
            Kind("Card games", ("Card Game", "Trick Deck", "Bidding Game"), ("deals five hands", "bluffs and tricks")),
            Kind("Dice", ("Dice Set", "Dice Tower", "Dice Cup"), ("rolls fair", "ends every quarrel over a throw")),
            Kind("Puzzles", ("Puzzle Box", "Jigsaw", "Riddle Book"), ("takes a rainy day", "opens in thirty moves")),
        ),
    ),
    Department(
        "Garden Shed",
        ("Terracotta", "Galvanised", "Coppiced Hazel", "Old Garden", "Copper", "Willow"),
        (
            Kind("Seeds", ("Seed Packet", "Bulb Bag", "Sowing Mix"), ("comes up in a fortnight", "sows a long row")),
            Kind("Pots", ("Flower Pot", "Seed Tray", "Planter"), ("drains well", "gives roots some room")),
            Kind("Watering", ("Watering Can", "Plant Mister", "Rain Gauge"), ("waters seedlings", "holds five litres")),
            Kind("Digging", ("Trowel", "Dibber", "Hand Fork"), ("lifts weeds whole", "turns a heavy bed of soil")),
        ),
    ),
    Department(
        "Paper and Ink",
        ("Laid Paper", "Cloth Bound", "Marbled", "Vellum", "Ebonite", "Oak Gall"),
        (
            Kind("Notebooks", ("Notebook", "Sketchbook", "Day Book"), ("opens flat", "has two hundred pages")),
            Kind(
                "Pens", ("Fountain Pen", "Dip Pen", "Drafting Pencil"), ("writes a fine line", "never skips a stroke")
            ),
            Kind(
                "Inks", ("Bottled Ink", "Ink Cartridge Box", "Ink Stick"), ("dries in a minute", "shades as it dries")
            ),
            Kind("Letters", ("Letter Set", "Wax Seal", "Envelope Box"), ("suits a long letter", "closes an envelope")),
        ),
    ),
    Department(
        "Kitchen Range",
        ("Cast Iron", "Olive Wood", "Glazed", "Marble", "Hammered", "Cured"),
        (
            Kind("Pans", ("Skillet", "Stew Pot", "Griddle"), ("holds its heat", "goes from stove to table")),
            Kind("Spices", ("Spice Blend", "Pepper Jar", "Salt Crock"), ("wakes up a stew", "wants a hot pan")),
            Kind("Baking", ("Rolling Pin", "Loaf Tin", "Proving Basket"), ("bakes one tall loaf", "shapes the dough")),
            Kind("Boards", ("Bread Board", "Cheese Knife", "Mortar"), ("stands up to crusts", "cuts and serves")),
        ),
    ),
    Department(
        "Walking and Camp",
        ("Canvas", "Felted", "Enamelled", "Chestnut", "Leather", "Aluminium"),
        (
            Kind("Packs", ("Rucksack", "Satchel", "Bedroll Strap"), ("carries a day of supplies", "sheds rain")),
            Kind(
                "Flasks", ("Flask", "Camp Kettle", "Water Bottle"), ("stays hot till dusk", "boils over a small fire")
            ),
            Kind("Maps", ("Trail Map", "Compass", "Map Case"), ("finds the path", "shows every stile and ford")),
            Kind("Sticks", ("Walking Stick", "Camp Stool", "Tent Peg Set"), ("steadies a climb", "holds in soft turf")),
        ),
    ),
    Department(
        "Wool and Needle",
        ("Lambswool", "Merino", "Linen", "Rosewood", "Alpaca", "Tweed"),
        (
            Kind("Yarns", ("Yarn Skein", "Sock Yarn", "Darning Wool"), ("knits up soft", "makes one pair of socks")),
            Kind(
                "Needles",
                ("Knitting Needle Pair", "Crochet Hook", "Cable Needle"),
                ("slides freely", "drops no stitch"),
            ),
            Kind(
                "Patterns", ("Pattern Book", "Stitch Chart", "Shawl Pattern"), ("charts every row", "suits beginners")
            ),
            Kind(
                "Notions", ("Stitch Marker Tin", "Wool Bowl", "Mending Kit"), ("keeps a project tidy", "saves a jumper")
            ),
        ),
    ),
)

MOODS: tuple[Mood, ...] = (
    Mood(
        "quiet",
        ("Quiet", "Hushed", "Gentle", "Drowsy", "Still"),
        (
            "Quiet and gentle, for evenings with a soft voice.",
            "A hushed thing for drowsy hours.",
            "It asks for still air and a gentle hand.",
        ),
    ),
    Mood(
        "bold",
        ("Bold", "Blazing", "Vivid", "Roaring", "Scarlet"),
        (
            "Bold and vivid, it will not be overlooked.",
            "Blazing scarlet, for people who like a roaring entrance.",
            "A vivid piece with a bold temper.",
        ),
    ),
    Mood(
        "rustic",
        ("Rustic", "Hedgerow", "Farmhouse", "Weathered", "Homespun"),
        (
            "Rustic and weathered, at home in a farmhouse.",
            "Made the homespun way, rough at the seams.",
            "It brings the hedgerow indoors, plain and weathered.",
        ),
    ),
    Mood(
        "seafaring",
        ("Harbour", "Tidal", "Mariner's", "Driftwood", "Lighthouse"),
        (
            "It smells of harbour rope and tidal salt.",
            "A mariner's choice, proved by many a tidal crossing.",
            "Named for the lighthouse above the old harbour.",
        ),
    ),
    Mood(
        "playful",
        ("Jolly", "Tumbling", "Cheeky", "Merry", "Topsy"),
        (
            "Jolly and a little cheeky, children ask for it by name.",
            "A merry, tumbling sort of thing.",
            "Made to be laughed with: merry, topsy and cheeky.",
        ),
    ),
    Mood(
        "scholarly",
        ("Scholar's", "Antiquarian", "Archivist's", "Cloister", "Learned"),
        (
            "A scholar's companion with a learned footnote on the label.",
            "After an antiquarian original kept in a cloister.",
            "The archivist's favourite: learned, exact, a little dusty.",
        ),
    ),
    Mood(
        "wintry",
        ("Frost", "Snowbound", "Midwinter", "Icicle", "Fireside"),
        (
            "For snowbound days by the fireside.",
            "Pale as frost, best in midwinter.",
            "It comes into its own at the fireside when icicle weather sets in.",
        ),
    ),
    Mood(
        "blossoming",
        ("Blossom", "Orchard", "Petal", "Meadow", "Springtime"),
        (
            "Blossom and petal all over, like an orchard in May.",
            "A springtime thing, fresh as a meadow.",
            "Picture a meadow under orchard trees.",
        ),
    ),
)

MAKER_STARTS: tuple[str, ...] = (
    "Bar", "Cor", "Dun", "El", "Fen", "Gar", "Hol", "Jas", "Kel", "Lor", "Mar", "Nor", "Ost", "Pel", "Quill", "Rav",
    "Sil", "Tam", "Ulv", "Ver", "Wend", "Yar",
)  # fmt: skip
MAKER_ENDS: tuple[str, ...] = (
    "aby", "bourne", "combe", "dale", "eth", "fold", "grave", "ick", "low", "mere", "nock", "over", "rick", "some",
    "tarn", "wick",
)  # fmt: skip
"""A maker is a start and an end: Pellow, Garmere, Ravbourne. No real firm is meant."""

PLAIN_SENTENCES: tuple[str, ...] = (
    "Made in small batches.",
    "One of the steady sellers of the shop.",
    "Comes wrapped, with a card.",
    "Checked by hand before it leaves the counter.",
)
"""What a description says when it gives no mood away."""
