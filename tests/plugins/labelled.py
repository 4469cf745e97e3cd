"""A small labelled set, whose right neighbours any sensible model finds."""

MODEL = "all-minilm-l6-v2"
FACTS = [
    ("Herring swim in shoals of millions.", "fish"),
    ("The cod is a fish of the cold sea.", "fish"),
    ("Trout lay their eggs in the gravel of rivers.", "fish"),
    ("A shark smells blood from far away.", "fish"),
    ("Bread rises because yeast makes gas.", "baking"),
    ("Knead the dough for ten minutes.", "baking"),
    ("Bake the cake at 180 degrees for an hour.", "baking"),
    ("Sourdough needs flour, water and time.", "baking"),
    ("The train to Berlin leaves at noon.", "trains"),
    ("A locomotive pulls forty wagons.", "trains"),
    ("The station has twelve platforms.", "trains"),
    ("Rails are welded to make the ride smooth.", "trains"),
    ("Telescopes gather the light of far stars.", "stars"),
    ("The moon is four light-seconds there and back.", "stars"),
    ("A galaxy holds billions of suns.", "stars"),
    ("Jupiter is the largest planet.", "stars"),
]
QUESTIONS = {
    "Which animals live in the ocean and have fins?": "fish",
    "How do I make a loaf?": "baking",
    "travelling by railway": "trains",
    "What do astronomers look at?": "stars",
}
RIGHT = [[label] * 3 for label in QUESTIONS.values()]
WORDS = ["w5 w6 w7", "w20 w21", "w33 w5 w44", "w50 w51 w52 w53", "w6"]
