"""The pages of `visdiv review`, on which a person marks pairs right, wrong or unsure.

Belongs here: the pairs to review in a temporary database (`pair_index`, filled by `pair_loading`), the questions that
the page asks of them (`filters`), what a person decided (`marks`), the images of a pair at full size
(`pair_images`), all that is known of a pair (`pair_details`), and the web application (`app`; its page, styles
and script are in the folder `template/` of the room). Finding and verifying pairs does not belong here.
"""
