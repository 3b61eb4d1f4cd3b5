"""Every number that the verdict depends on.

Where a comment names a measurement, it was made on three kinds of pairs: (s) the sample corpus (276 planted copies, the
24 other pairs of SSCD similarity 0.45 or more); (t) drawn templates with copies of 12 kinds at 3 strengths and with
look-alikes, half of which differ in one thing; (d) the development half of an independent collection of charts,
pages, screens, icons, photographs and clip art. Where none is named, the number was chosen by reasoning and left alone.
Lengths are in pixels of the comparison unless said otherwise, levels 0 to 255.
"""

# --- Working sizes: what of an image is kept. 360,000 pixels are 693 x 520: letters of a page stay legible.
WORKING_PIXELS = 360_000
WORKING_SIDE = 2_400
#: Size at which points are tracked, and doubtful alignments are compared first.
SMALL_PIXELS = 110_000
#: Size at which keypoints are found, twice as fast as at `SMALL_PIXELS` and no worse.
KEYPOINT_PIXELS = 60_000
#: Color is kept at a third of the size: JPEG halves it too, and hue is judged over areas.
COLOR_REDUCTION = 3

# --- Images there is nothing to compare of.
#: A shorter side below this holds two windows.
SMALLEST_SIDE = 16
#: Deviation of the brightness below which an image is constant but for compression.
CONSTANT = 1.5

# --- Cheap guesses: thumbnails laid on one another.
THUMB_SIDE = 32
#: A border is what differs from its median by no more.
BORDER_TOLERANCE = 20
#: Correlation from which a stretch of one upon the other is tried.
GUESS_CORRELATION = 0.5
GUESSES = 3

# --- Keypoints: 500 on the small view suffice for crops to 60 % of the area (s, t: all but those of flags are found).
KEYPOINTS = 400
MATCHES = 200
#: Product of RootSIFT vectors below which two points are nothing alike.
LEAST_LIKENESS = 0.75
#: Three points may agree by chance on a text page, four in their scales and directions as well seldom.
FEWEST_VOTES = 4
KEYPOINT_HYPOTHESES = 3
#: How far a match may be from where another's transform puts it: a fixed part, and a share of the distance between
#: them, as a keypoint's scale and angle are only roughly right.
VOTE_TOLERANCE = 6.0
VOTE_DRIFT = 0.06
VOTE_SCALE = 0.4
VOTE_TURN = 0.35

# --- Exact alignment by tracked points.
TRACKED = 200
TRACK_QUALITY = 0.03
FEWEST_TRACKED = 6
TRACK_TOLERANCE = 1.0
#: If fewer points go one way, the guess is wrong.
TRACK_HOPELESS = 0.15
#: With fewer points or fewer that agree, the guess itself is tried as well (flags and other stripes).
PLENTY_TRACKED = 25
POORLY_TRACKED = 0.3
#: From here up an alignment is taken as right: other alignments are not looked for (look-alikes of one template).
DECISIVE = 0.45
#: A common header of two pages is not a common image.
LEAST_OVERLAP = 0.5

# --- Tone and sharpness.
#: A tone curve that flattens more of the contrast than this explains nothing.
TONE_KEPT = 0.7
#: Losses are truncated here, and a curve must do better than no change by a tenth: else it is noise.
TONE_TRUNCATED = 20.0
TONE_GAINED = 1.1
#: Least slope of a tone curve: copies made at half the contrast have 0.5.
TONE_RISE = 0.2
#: Ratio of fine detail above which two images are equally sharp.
EQUALLY_SHARP = 0.93
#: Detail that must be left after blurring, of the detail wanted.
DETAIL_KEPT = 0.7

# --- Windows: 7 pixels are a letter of a page at working size.
WINDOW = 7
#: Deviation above which a window has texture.
TEXTURE = 6.0
#: Local contrast may differ by this, beyond the global tone.
LEAST_GAIN = 0.75
#: Limits of the noise that a pair's own estimate may claim (shares of variance; levels). With loose limits (0.15
#: and 14), and tone and blur free to flatten both, 20 % of the different charts of (d) passed, with these none. A page
#: saved as JPEG of quality 20 estimates 0.03.
LOOSEST = 0.04
NOISIEST = 7.0
QUIETEST = 2.0
#: Noise that strong texture spreads around it (compression in blocks of 8 and 16 pixels).
AROUND = 17
#: Windows that the estimates are made from, at most.
NOISE_SAMPLES = 10_000
BESIDE = 0.25
RINGING = 0.05
#: A window disagrees if its difference has this many times the variance that noise explains and this share of the
#: texture's. (A drawn table: at JPEG qualities 95 to 20 copies have no disagreeing place, a digit exchanged
#: makes one of 0.5 to 5 windows; with a share of 0.3 a 3 for an 8 is missed at half the size.)
EXCESS = 9.0
UNEXPLAINED = 0.12
#: Nothing alike at all: noise is no excuse.
UNLIKE = 0.6
UNLIKE_LEVELS = 14.0
UNLIKE_RINGING = 4.0

# --- The verdict on contents.
#: Fewer separate windows with texture are too little evidence. (d: copies have 24 and more, 95 % have 110.)
FEWEST_WINDOWS = 12
#: Share of textured windows that must agree. (d: 99.4 % of copies without overlays have 0.995 and more.)
AGREEMENT = 0.98
#: Largest disagreeing place, in windows. (d: of copies without overlays 97.5 % have less than 0.1, 99.1 % less
#: than 0.5.)
LARGEST_PLACE = 0.45
#: At the coarse size the agreement of hopeless alignments is below this.
COARSE_AGREEMENT = 0.5
#: Below this no overlay is looked for.
LEAST_MARKED = 0.3
#: From this agreement on, effects of a change of color on the brightness are looked for.
LEAST_RECOLORED = 0.9
#: Neighboring levels (of 32) that must all be at the limit for a channel to count as clipped.
CLIPPED_LEVELS = 4
#: Smooth shading: a place of this share of the overlap whose mean brightness differs by this is other contents.
SHADING = 45.0
SHADED_AREA = 0.005

# --- Colors.
#: Difference of neighbors up to which a place is of even color.
EVEN = 24.0
FEWEST_EVEN = 50
COLOR_SAMPLES = 4_000
#: Plausible global changes: a hue turned by 20 degrees, saturation doubled, a tint of 20 levels. With a tint of 40
#: France's flag passes for Ireland's (d).
HUE_TURN = 20.0
SATURATION = 2.0
LARGEST_TINT = 20.0
#: Color difference left that is another color, and the share (and number) of places that must show it. (d: 99 % of
#: copies leave less than 11; t: a recolored tile of an icon sheet leaves 23.)
COLOR_DIFFERENCE = 22.0
COLOR_AREA = 0.001
COLOR_PLACES = 4

# --- Overlays: things put over one of two copies.
#: Levels beyond which a pixel differs.
COVERED_LEVELS = 12.0
#: Share of the disagreement that one overlay may leave unexplained.
COVERED_REST = 0.1
#: A band's lines differ in half their pixels; it takes up to 28 % of the height (captions of t: 22 %).
BAND_SHARE = 0.5
BAND_LARGEST = 0.28
#: Logos and stickers: their number, and share of the overlap's area; solid, a box or a disc, with something in it.
STAMPS = 3
STAMP_SMALLEST = 0.005
STAMP_LARGEST = 0.14
STAMP_SOLID = 0.85
STAMP_BOX = 0.9
STAMP_BUSY = 0.03
STAMP_FILLED = 0.65
#: An outline's step in the image that bears the overlay (all but 15 % of it), and in the other, relative to that. (t:
#: without it 5 of 12 QR codes with some squares exchanged pass as stamped.)
OUTLINE_STEP = 10.0
OUTLINE_CLEAN = 0.35
#: Translucent bands: what is off the ground by this many levels fades to this share, and the band cuts through as much
#: of the width.
FADED_LEVELS = 40.0
FADED_SHARE = 0.55
FADED_CUT = 0.04
#: Share of such a band that is ink.
FADED_INK = 0.01
#: Watermarks: opacity up to this, even in half the places; strokes no wider than this share of the shorter side; what
#: may be left of a difference, in levels of brightness and of color.
MARK_OPACITY = 0.7
MARK_EVEN = 0.5
MARK_STROKE = 0.08
MARK_REST = 24.0
MARK_COLOR = 15.0
MARKED_COLOR = 70.0

# --- Kinds of copies.
ROTATED_DEGREES = 1.0
#: Share from which an image is covered whole.
WHOLE = 0.97
#: Share of what surrounds an image that is of one level: in a border, and in a strip with a caption.
PLAIN_BORDER = 0.97
PLAIN_CAPTION = 0.6
#: Change of the brightness's mean or deviation, or of colors, that counts as recolored.
TONED_LEVELS = 4.0
TONED_RATIO = 1.06
RECOLORED = 9.0
