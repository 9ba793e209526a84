"""DVC stage `data`: decode the data set of the chosen protocol into data/images/, once for all searches."""

from harness.images.decoded import IMAGES, decode, write_cached
from harness.images.split import split_images
from harness.settings.protocol import load_board
from pipelines import stage


@stage
def main() -> None:
    """Decode the images, check the search split so that no search fails on it, and say what there is."""
    settings = load_board().chosen.data
    arrays = decode(settings)
    split_images(settings.split, arrays.description.train_count, arrays.description.test_count)
    write_cached(IMAGES, arrays)
    about = arrays.description
    print(f"{about.train_count:,} training and {about.test_count:,} test images: {about.source}")


if __name__ == "__main__":
    main()
