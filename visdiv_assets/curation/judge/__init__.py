"""Ratings of turns by a vision-language model behind an OpenAI-compatible endpoint, for data that has none.

    profiles  which criteria are rated, and their prompts
    tasks     the turns of a shard as questions to the judge, each with the hash of all that it depends on
    protocol  the messages of a request, and the check of a reply
    endpoint  requests, retries and the budget
    answers   the cache of replies by the hash of their question
    asking    many questions at a time
    ratings   the table that the lake stores, and how its ratings fill the gaps of the source's
    cost      an estimate before a run

What a source or a judge says is data: texts are delimited, replies are parsed as JSON of one form and nothing else.
"""
