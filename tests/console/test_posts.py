"""Step 3: reading, searching, writing, editing and deleting posts, whose content is always shown as text."""

import asyncio

import pytest
from playwright.async_api import Browser, Route, expect

from tests.api_client import new_email
from tests.console.screen import Screen, screen
from tests.console.stage import Stage

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="document.title=\'owned\'"> it\'s \\ "quoted" $HOME `id` \u202eסוף %41'


async def test_text_stays_text(shown: Screen) -> None:
    """Markup, quotes, line breaks and right-to-left letters are shown exactly as written."""
    await shown.register()
    await shown.write(HOSTILE, f"{HOSTILE}\n</p><script>document.title='owned'</script>\n--\n", f"{HOSTILE[:40]}, b")
    assert (
        await shown[".post-body"].first.text_content()
        == f"{HOSTILE}\n</p><script>document.title='owned'</script>\n--\n"
    )
    assert await shown[".tag"].first.text_content() == HOSTILE[:40].strip()
    assert await shown[".post img, .post script, .calls img"].count() == 0
    for summary in await shown[".call summary"].all():
        await summary.click()
    assert await shown[".call img, .call script"].count() == 0
    assert "owned" not in await shown.page.title()


async def test_edit_and_delete(shown: Screen) -> None:
    """Users can edit and delete their own posts; an edited post shows its version."""
    await shown.register()
    await shown.write("Draft", "First words")
    post = shown[".post"].first
    await post.get_by_role("button", name="Edit").click()
    await post.get_by_label("Text").fill("Second words")
    await post.get_by_role("button", name="Save").click()
    await expect(shown[".post-body"].first).to_have_text("Second words")
    await expect(shown[".post"].first).to_contain_text("version 2")
    name = await shown[".post"].first.get_attribute("data-id")
    await expect(shown["#posts-answer"]).to_have_text(f"Post {name} saved as version 2.")
    delete = shown[".post"].first.get_by_role("button", name="Delete")
    await delete.click()
    await shown.page.keyboard.press("Escape")
    await expect(delete).to_be_focused()
    await delete.click()
    await shown.page.get_by_role("button", name="Yes").click()
    await expect(shown["#posts-answer"]).to_have_text(f"Post {name} deleted.")
    await expect(shown[f".post[data-id='{name}']"]).to_have_count(0)
    assert await shown.page.evaluate("document.activeElement.id") == "list-title"


async def test_a_newer_change_is_not_overwritten(browser: Browser, stand: Stage) -> None:
    """Saving an outdated edit gets a 412 and loads the current list."""
    async with screen(browser) as one, screen(browser) as two:
        await one.open(stand.console)
        await two.open(stand.console)
        email = new_email()
        await one["#email"].fill(email)
        await two["#email"].fill(email)
        await two["#password"].fill(await one["#password"].input_value())
        await one.register()
        await one.write("Shared", "Old")
        await two["#sign-in"].click()
        for shown, text in ((two, "Newer"), (one, "Stale")):
            post = shown[".post"].first
            await post.get_by_role("button", name="Edit").click()
            await post.get_by_label("Text").fill(text)
            await post.get_by_role("button", name="Save").click()
            if shown is two:
                await expect(two[".post-body"].first).to_have_text("Newer")
        await expect(one["#posts-answer"]).to_contain_text("412 Precondition Failed · version_mismatch")
        await expect(one[".post-body"].first).to_have_text("Newer")


async def test_somebody_elses_post_is_refused(browser: Browser, stand: Stage) -> None:
    """Every post has buttons, with a note on other users' posts, and the post shows the 403."""
    async with screen(browser) as one, screen(browser) as two:
        await one.open(stand.console)
        await one.register()
        await one.write("Not yours", "Hands off")
        await two.open(stand.console)
        await two.register()
        post = two[".post"].filter(has_text="Not yours").first
        await expect(post.locator(".not-yours")).to_have_text("Not your post, so expect a 403.")
        await post.get_by_role("button", name="Delete").click()
        await post.get_by_role("button", name="Yes").click()
        await expect(post.get_by_role("status")).to_contain_text("403 Forbidden · not_the_author")


async def test_a_moderator_is_not_told_to_expect_a_403(browser: Browser, stand: Stage) -> None:
    """If the token has the scope of a moderator, other users' posts have no note."""
    async with screen(browser) as one, screen(browser) as two:
        await one.open(stand.console)
        await one.register()
        await one.write("To be moderated", "By anyone with the scope")
        await two.open(stand.console)
        await two.register()
        note = two[".post"].filter(has_text="To be moderated").first.locator(".not-yours")
        await expect(note).to_have_count(1)
        await two.page.evaluate(
            "async () => { (await import('/session.js')).session().claims.scope += ' posts:moderate'; }"
        )
        await two["#find"].click()
        await expect(note).to_have_count(0)


async def test_search_and_pages(shown: Screen) -> None:
    """Words, tag and author filter the list; the next page continues after the last post."""
    await shown.register()
    for number in range(7):
        await shown.write(f"Number {number}", "odd one" if number % 2 else "even one", "odd" if number % 2 else "even")
    await shown["#mine"].check()
    await expect(shown[".post"]).to_have_count(5)
    await shown["#more"].click()
    await expect(shown[".post"]).to_have_count(7)
    await expect(shown["#more"]).to_be_hidden()
    titles = await shown[".post h4"].all_text_contents()
    assert titles == [f"Number {number}" for number in range(6, -1, -1)]
    await shown["#tag"].fill("odd")
    await shown["#find"].click()
    await expect(shown[".post"]).to_have_count(3)
    await shown["#q"].fill("nothing like it")
    await shown["#find"].click()
    await expect(shown["#posts-count"]).to_have_text("No posts match your search.")


async def test_a_list_that_is_being_replaced_has_no_next_page(shown: Screen) -> None:
    """While a new filter loads, "more" is hidden: its cursor belongs to the old filter, and posts would refuse it."""
    await shown.register()
    for number in range(6):
        await shown.write(f"Number {number}", "held back")
    await expect(shown["#more"]).to_be_visible()
    answer = asyncio.Event()

    async def hold(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await shown.page.route("**/posts?*author=me*", hold)
    await shown["#mine"].check()
    await expect(shown["#more"]).to_be_hidden()
    answer.set()
    await expect(shown["#more"]).to_be_visible()
