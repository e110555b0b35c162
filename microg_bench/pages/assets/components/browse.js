"use strict";
// The items of a page: filters that choose among them, the list of those chosen, and the viewer of one.
//
// browse({items, clipOf, choose, build, content}): choose(values) -> the items to list, in order, for the values of the form
// "tools"; clipOf(item) -> its clip; build and content are those of List and Viewer. The page has elements with the ids
// tools, search, count, list and end. On paper, which cannot be scrolled or unfolded, all chosen items and all details are.
{
  const { byId } = microg.dom;
  const { values, listen } = microg.filters;

  microg.browse = ({ items, clipOf, choose, build, content }) => {
    const list = new microg.List(byId("list"), byId("end"), build);
    const viewer = new microg.Viewer(list, content);

    function refill() {
      list.fill(choose(values(byId("tools"))));
      byId("count").textContent = `${list.items.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} items`;
      byId("end").textContent = list.items.length ? "" : "No item is like that.";
    }

    // Opens what the address names. An item far down is searched for by its clip: the list before it is not built.
    function openLinked() {
      viewer.openLinked(items, (item) => {
        byId("tools").reset();
        byId("search").value = clipOf(item).id;
        refill();
      });
    }

    function openClicked(event) {
      const clicked = event.target.closest("[data-place]");
      if (!clicked || event.target.closest(".thoughts")) return; // thoughts unfold in their place
      if (event.detail && String(getSelection())) return; // whoever selects text does not open
      list.select(Number(clicked.dataset.place));
      viewer.open();
    }

    addEventListener("beforeprint", () => {
      list.grow(list.items.length);
      for (const one of document.querySelectorAll("details")) one.open = true;
    });
    addEventListener("hashchange", openLinked);
    byId("list").addEventListener("click", openClicked);
    listen(byId("tools"), refill, 120);
    microg.listenToKeys(list, viewer, { "/": () => byId("search").focus() });
    refill();
    openLinked();
  };
}
