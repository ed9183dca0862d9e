"""The sandbox in a real browser: as a pharmacist uses it."""

from __future__ import annotations

from datetime import datetime
from time import sleep

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Route

from tests.sandbox.screen import Screen

_TABS = ("why", "protocols", "results", "exchange", "case")


def test_the_page_opens_with_a_patient_a_picture_and_a_card_and_loads_nothing_from_elsewhere(screen: Screen) -> None:
    screen.open()
    assert len(screen.headlines) == 1
    assert screen.page.locator("#timeline canvas").count() == 4
    assert all(call.split(" ")[1].startswith((screen.address, "data:", "blob:")) for call in screen.called)


def test_the_page_and_its_first_patient_come_in_less_than_300_kilobytes(screen: Screen) -> None:
    screen.open()
    sizes = screen.page.evaluate(
        """() => performance.getEntries().filter((entry) => "transferSize" in entry)
               .map((entry) => entry.transferSize).reduce((sum, size) => sum + size, 0)"""
    )
    assert 20_000 < sizes < 300_000


def test_picking_a_patient_shows_their_card_and_course(screen: Screen) -> None:
    screen.pick("ordinary-renewal")
    assert screen.headlines == []
    screen.pick("renal-decline")
    assert screen.headlines == ["Reduce to 5 mg once daily, days 1–28: CrCl 52.0 mL/min (3 Sep)"]
    told = screen.page.get_attribute("#chart-clearance", "aria-label") or ""
    assert "52 mL/min" in told
    assert "30 to 60: at most 5 mg days 1–28" in told


def test_a_drafted_strength_is_judged_as_it_is_written(screen: Screen) -> None:
    screen.pick("ordinary-renewal")
    screen.choose("dose-1", "25")
    assert "25" in screen.headlines[0]
    with screen.judged_again():
        screen.page.fill("#supply-1", "56")
        screen.page.press("#supply-1", "Tab")
    assert "56 days ordered" in screen.page.inner_text("#cards")


def test_accepting_a_suggestion_changes_the_order_and_is_fed_back(screen: Screen) -> None:
    with screen.judged_again():
        screen.page.click("[data-accept]")
    assert screen.headlines == []
    assert screen.page.input_value("#dose-1") == "5"
    assert "Accepted: Change to 5 mg once daily" in screen.said
    assert f"POST {screen.address}/cds-services/lenalidomide-order-select/feedback" in screen.called


def test_an_overridden_card_stays_overridden_at_the_next_hook(screen: Screen) -> None:
    screen.page.click("#cards .override summary")
    screen.page.select_option("#reason-1", index=1)
    chosen = screen.page.locator("#reason-1 option").nth(1).inner_text()
    screen.page.fill("#comment-1", "as agreed with nephrology")
    with screen.judged_again():
        screen.page.click("#cards .override button")
    assert f"Overridden: {chosen}: as agreed with nephrology" in screen.page.inner_text("#cards")
    assert any(call.endswith("/feedback") for call in screen.called)
    screen.choose("hook", "order-sign")
    assert screen.request["hook"] == "order-sign"
    assert "Overridden: " in screen.page.inner_text("#cards")


def test_another_protocol_judges_otherwise_and_the_six_stand_side_by_side(screen: Screen) -> None:
    screen.pick("second-neutropenia")
    before = screen.headlines
    screen.choose("protocol", "revallo")
    assert screen.headlines != before
    text = screen.tab("protocols")
    assert all(name in text for name in ("fda-label", "ema-smpc", "review-2020", "mskcc", "revallo", "weill-cornell"))
    assert "≠" in text
    assert "in use" in text


def test_the_epic_profile_carries_the_change_in_words(screen: Screen) -> None:
    screen.choose("profile", "epic")
    assert "To be changed in the order" in screen.page.inner_text("#cards")
    assert screen.page.locator("[data-accept]").count() == 0


def test_opening_the_chart_and_coming_back_keeps_the_drafted_order(screen: Screen) -> None:
    screen.choose("dose-1", "15")
    screen.choose("hook", "patient-view")
    assert "draftOrders" not in screen.request["context"]
    screen.choose("hook", "order-sign")
    assert screen.page.input_value("#dose-1") == "15"


def test_moving_a_value_moves_the_card(screen: Screen) -> None:
    screen.pick("first-neutropenia")
    assert "Hold lenalidomide: ANC 0.4" in screen.headlines[0]
    screen.tab("results")
    field = screen.page.locator("input[aria-label^='Value of Neutrophils']").first
    with screen.judged_again():
        field.fill("0.45")
        field.press("Tab")
    assert "Hold lenalidomide: ANC 0.45" in screen.headlines[0]
    field = screen.page.locator("input[aria-label^='Value of Neutrophils']").first
    with screen.judged_again():
        field.fill("2.2")
        field.press("Tab")
    assert all("Hold" not in headline for headline in screen.headlines)


def test_moving_now_makes_results_old(screen: Screen) -> None:
    screen.pick("ordinary-renewal")
    before = screen.page.input_value("#now")
    with screen.judged_again():
        for _ in range(2):
            screen.page.click("#week-on")
    moved = datetime.fromisoformat(screen.page.input_value("#now")) - datetime.fromisoformat(before)
    assert moved.days == 14
    assert "Blood count needed" in screen.headlines[0]


def test_a_value_that_is_no_number_is_told_and_changes_nothing(screen: Screen) -> None:
    screen.pick("first-neutropenia")
    before = screen.request
    screen.tab("results")
    field = screen.page.locator("input[aria-label^='Value of Neutrophils']").first
    with screen.judged_again():
        field.fill("low")
        field.press("Tab")
    assert "value: 'low' is not a number" in screen.wrong
    assert screen.request == before
    screen.complaints = [told for told in screen.complaints if "422" not in told]


def test_the_screen_can_be_saved_as_a_case(screen: Screen) -> None:
    text = screen.tab("case")
    assert "- id: " in text
    assert "expect:" in text


def test_everything_can_be_done_with_the_keyboard_alone(screen: Screen) -> None:
    page = screen.page
    page.focus("[data-story=start-at-15]")
    with screen.judged_again():
        page.keyboard.press("Enter")
    assert "Start at 10 mg" in screen.headlines[0]
    page.focus("[data-story=renal-decline]")
    with screen.judged_again():
        page.keyboard.press("Enter")
    page.focus("#tab-why")
    with screen.judged_again():
        page.keyboard.press("ArrowRight")
    assert page.is_visible("#protocols table")
    assert page.evaluate("document.activeElement.id") == "tab-protocols"
    page.focus("#dose-1")
    with screen.judged_again():
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "dose-1"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('[data-accept]')"):
            break
    with screen.judged_again():
        page.keyboard.press("Enter")
    assert page.input_value("#dose-1") == "5"


def test_a_date_can_be_typed_digit_by_digit(screen: Screen) -> None:
    screen.page.focus("#start-1")
    screen.page.keyboard.type("09202024")
    with screen.judged_again():
        screen.page.keyboard.press("Enter")
    assert screen.page.input_value("#start-1") == "2024-09-20"
    assert screen.wrong == ""


def test_what_is_done_in_haste_is_done_in_turn(screen: Screen) -> None:
    def slowly(route: Route) -> None:
        sleep(0.15)
        route.continue_()

    screen.page.route("**/sandbox/edit", slowly)
    with screen.judged_again():
        screen.page.select_option("#dose-1", "15")
        screen.page.select_option("#schedule-1", "21")
        screen.page.select_option("#protocol", "mskcc")
    assert (screen.page.input_value("#dose-1"), screen.page.input_value("#schedule-1")) == ("15", "21")
    assert screen.page.input_value("#protocol") == "mskcc"
    with screen.judged_again():
        screen.page.select_option("#dose-1", "5")
        screen.page.click("[data-story=first-neutropenia]")
    assert "Edda Marsh" in screen.page.inner_text("#banner")
    assert screen.page.get_attribute("[data-story=first-neutropenia]", "aria-current") == "true"
    assert screen.page.input_value("#dose-1") == "10"


def test_an_order_that_was_removed_can_be_drafted_again_and_the_patient_started_over(screen: Screen) -> None:
    screen.pick("first-neutropenia")
    with screen.judged_again():
        screen.page.click("[data-accept]:has-text('Remove')")
    assert "no lenalidomide is being ordered" in screen.page.inner_text("#cards")
    with screen.judged_again():
        screen.page.click("[data-edit=renew]")
    assert "Hold lenalidomide" in screen.headlines[0]
    screen.choose("dose-1", "25")
    with screen.judged_again():
        screen.page.click("#start-over")
    assert screen.page.input_value("#dose-1") == "10"


def test_an_order_taken_from_a_card_is_not_offered_twice(screen: Screen) -> None:
    screen.pick("first-neutropenia")
    with screen.judged_again():
        screen.page.click("[data-accept]:has-text('blood count')")
    assert "✓ Ordered" in screen.page.inner_text("#cards")
    assert screen.page.locator("[data-accept]:has-text('blood count')").count() == 0


def test_where_the_service_does_not_answer_nothing_stands_there_that_was_not_judged(screen: Screen) -> None:
    screen.page.route("**/cds-services/**", lambda route: route.abort())
    screen.choose("dose-1", "25")
    assert screen.wrong == "The service did not answer. What stands here is as it was before."
    assert screen.page.input_value("#dose-1") == "10"
    with screen.judged_again():
        screen.page.click("[data-story=dialysis]")
    assert screen.page.get_attribute("[data-story=renal-decline]", "aria-current") == "true"
    assert "Aldous Fenn" in screen.page.inner_text("#banner")
    screen.page.unroute("**/cds-services/**")
    screen.page.route("**/sandbox/view", lambda route: route.abort())
    screen.choose("dose-1", "25")
    assert screen.page.input_value("#dose-1") == "10"
    assert '"value": 25' not in screen.page.input_value("#request")
    screen.page.unroute("**/sandbox/view")
    screen.pick("dialysis")
    assert screen.wrong == ""
    screen.complaints = [told for told in screen.complaints if "ERR_FAILED" not in told]


def test_the_address_names_patient_and_tab_so_that_a_reload_shows_them_again(screen: Screen) -> None:
    screen.open("?patient=first-neutropenia&tab=results")
    with screen.judged_again():
        screen.page.reload()
    assert "Edda Marsh" in screen.page.inner_text("#banner")
    assert screen.page.is_visible("#page-results")


def test_back_leads_to_the_patient_before(screen: Screen) -> None:
    screen.pick("first-neutropenia")
    with screen.judged_again():
        screen.page.go_back()
    assert "Aldous Fenn" in screen.page.inner_text("#banner")


def test_a_change_that_is_refused_leaves_the_order_as_it_was_judged(screen: Screen) -> None:
    with screen.judged_again():
        screen.page.fill("#supply-1", "5000")
        screen.page.press("#supply-1", "Tab")
    assert "days: '5000'" in screen.wrong
    assert screen.page.input_value("#supply-1") == "28"
    screen.complaints = [told for told in screen.complaints if "422" not in told]


def test_a_printed_page_holds_the_order_and_the_cards(screen: Screen) -> None:
    screen.page.emulate_media(media="print")
    card = screen.page.locator("#cards article").bounding_box()
    assert card is not None
    assert card["width"] > 300
    assert card["height"] > 100


def test_who_does_not_see_the_cards_change_hears_it(screen: Screen) -> None:
    assert screen.page.inner_text("#heard").startswith("Aldous Fenn: warning: Reduce to 5 mg")
    screen.choose("dose-1", "5")
    assert screen.page.inner_text("#heard") == "Aldous Fenn: no card"


def test_the_page_fits_a_screen_and_a_phone(screen: Screen) -> None:
    for width, height in ((1280, 800), (390, 844), (320, 640)):
        screen.page.set_viewport_size({"width": width, "height": height})
        for tab in _TABS:
            screen.tab(tab)
            assert screen.page.evaluate("document.documentElement.scrollWidth") <= width, (width, tab)


def test_axe_finds_nothing_serious(screen: Screen) -> None:
    for tab in _TABS:
        screen.tab(tab)
        found = Axe().run(screen.page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]
        assert serious == [], tab
