"""Two services behind a proxy pass the tests of one: the same tests, with the fixtures of this folder."""

import pytest

from tests.hooks.test_authentication_over_http import (
    test_a_hospitals_request_chooses_neither_its_time_nor_how_its_cards_look,
    test_a_token_for_one_endpoint_opens_no_other,
    test_an_answer_that_is_not_explained_does_not_tell_how_long_its_stages_took,
    test_r92_r102_who_brings_no_token_or_a_bad_one_is_refused_without_a_reason,
    test_r93_each_endpoint_answers_to_a_token_of_its_own,
    test_r96_feedback_may_be_sent_with_a_token_for_the_service,
    test_who_looks_after_the_service_needs_no_token,
)
from tests.hooks.test_conformance_of_calls import *
from tests.hooks.test_conformance_of_discovery import *
from tests.hooks.test_feedback import (
    test_r84_every_service_takes_feedback,
    test_r84_is_posted_and_not_read,
    test_r85_a_batch_across_cards_is_kept_whole,
    test_r85_a_second_thought_is_added_and_replaces_nothing,
    test_r85_the_same_feedback_sent_again_is_recorded_once,
    test_r86_feedback_leads_to_the_decision_by_the_card_alone,
    test_r89_a_comment_is_kept_as_it_was_written,
)
from tests.hooks.test_override_report import (
    test_a_rule_overridden_too_often_is_named_once_there_are_enough_answers,
    test_advice_shown_at_order_select_and_again_at_order_sign_counts_once,
    test_each_rule_is_told_with_what_was_shown_accepted_and_overridden_and_why,
    test_feedback_on_unknown_cards_is_counted,
    test_protocols_and_months_have_lines_of_their_own,
    test_the_last_word_on_the_same_advice_counts,
    test_two_hospitals_with_the_same_ids_are_told_apart,
)
from tests.support.replicas import missing

if (lacking := missing()) is not None:
    pytest.skip(lacking, allow_module_level=True)
