"""R2GAN: one generator draws from photos' and from recipes' vectors, two critics judge what it draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from savor.distributed import gather_batch, gathered
from savor.generating import Drawing
from savor.generators import Game, PictureCritic, PictureGenerator, eased, player, unlearning
from savor.layers import given, unit
from savor.losses import (
    check_mining,
    classes_told,
    standard_normal_divergence,
    taken_for_real,
    told_apart,
    triplet,
)
from savor.methods.base import Perceptrons, above_zero, at_least
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from savor.batch import Batch
    from savor.features import Dims


class R2GAN(Drawing, Perceptrons):
    """R2GAN: ranking among embeddings and among the pictures drawn from them, one generator, two critics.

        `L_towers = L_rank(v, r) + g L_game + c (CE(v) + CE(r))`,
        `L_game = i L_rank(f(photo), f(G(r))) + a L_fool + k L_divergence + p mean |G - photo|`

    v and r are the embeddings of a photo and of its recipe, G the generator that draws a picture from either,
    f the states of the first critic. That critic tells photos from drawn pictures, the second one
    pictures drawn from photos' embeddings from those drawn from recipes'; to please it, recipes' are to look
    as if drawn from photos. CE is the cross-entropy over title classes of one linear layer.

    This is our reading of the abstract: the paper's weights, layers and training could not be read. It names
    one generator, dual discriminators and a ranking loss of two levels, embeddings and images.
    `faithful=True` is that wiring without our additions: the game is felt from the first step, there is no
    reconstruction, and the generator's codes are not drawn around their mean. Not the paper's either way: the
    perceptrons of MLP + triplet are the towers, where it has ResNet-50 and attention over words and
    sentences; triplets are mined softly unless `mining` says otherwise.

    Args:
        dims: widths of the features.
        faithful: the abstract's wiring alone.
        dim: width of the shared space.
        hidden: width of the perceptrons' hidden layers.
        margin: of both rankings, in cosine.
        mining: `soft`, `mean`, `sum`, `active`, `hardest` or `semi_hard`, of both rankings.
        temperature: of `soft` mining and of the classifier, in cosine.
        game_weight: g.
        class_weight: c.
        image_rank_weight: i.
        adversarial_weight: a.
        divergence_weight: k, of the codes from the standard normal distribution; 0 with `faithful`.
        reconstruction: p; 0 with `faithful`.
        adversarial_from: epoch from which on the towers feel the game; 1 with `faithful`.
        picture_size: edge of the pictures, in pixels: 8, 16, 32, 64, ...; 0: there is no game, and no photos
            are read.
        picture_width: channels of generator and critics where pictures are 4 x 4.
        picture_batch: pairs of a step of the generator, about.
        generator_rate: learning rate of the generator, relative to the towers'.
        critic_rate: of both critics.
        image_dropout: share of the perceptron's inputs and hidden units dropped on the photo's side.
        recipe_dropout: share on the recipe's side.

    Example:
        >>> from savor.features import Dims
        >>> R2GAN.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16, "picture_size": 0}).training_uses
        ()
    """

    paper: ClassVar[str] = "Zhu et al., CVPR 2019"
    loss: ClassVar[str] = "triplets of embeddings and of drawn pictures; two critics; classes"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines", "category")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=8, batch_size=512, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        dim: int = 1024,
        hidden: int = 2048,
        margin: float = 0.3,
        mining: str = "soft",
        temperature: float = 0.05,
        game_weight: float = 0.005,
        class_weight: float = 0.01,
        image_rank_weight: float = 1.0,
        adversarial_weight: float = 1.0,
        divergence_weight: float = 2.0,
        reconstruction: float = 50.0,
        adversarial_from: int = 3,
        picture_size: int = 64,
        picture_width: int = 128,
        picture_batch: int = 64,
        generator_rate: float = 0.3,
        critic_rate: float = 0.3,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(
            dims, dim=dim, hidden=hidden, image_dropout=image_dropout, recipe_dropout=recipe_dropout
        )
        check_mining(mining)
        at_least(0, margin=margin, game_weight=game_weight, class_weight=class_weight)
        at_least(0, image_rank_weight=image_rank_weight, adversarial_weight=adversarial_weight)
        at_least(0, divergence_weight=divergence_weight, reconstruction=reconstruction)
        at_least(0, picture_size=picture_size)
        at_least(1, adversarial_from=adversarial_from, picture_batch=picture_batch)
        at_least(8, picture_width=picture_width)
        above_zero(temperature=temperature, generator_rate=generator_rate, critic_rate=critic_rate)
        self.margin, self.mining, self.temperature = margin, mining, temperature
        self.class_weight, self.rates = class_weight, (generator_rate, critic_rate)
        self.classifier = nn.Linear(dim, dims.categories)
        self.picture_size, self.game = picture_size, None
        self.training_uses = ("pixels",) if picture_size else ()
        if picture_size:
            self.game = TwoCritics(
                PictureGenerator(dim, size=picture_size, noise=self.noise_width, width=picture_width),
                PictureCritic(size=picture_size, width=picture_width),
                PictureCritic(size=picture_size, width=picture_width),
                {
                    "rank": image_rank_weight,
                    "fool": adversarial_weight,
                    "divergence": 0.0 if faithful else divergence_weight,
                    "reconstruction": 0.0 if faithful else reconstruction,
                },
                (margin, mining, temperature),
                weight=game_weight,
                begins=1 if faithful else adversarial_from,
                at_once=picture_batch,
            )
            self.game.generator.scattered = not faithful

    def draw(self, batch: Batch, noise: Tensor) -> Tensor:
        """Draw a picture of each recipe, `(b, 3, size, size)` in [-1, 1]."""
        assert self.game is not None
        drawn: Tensor = self.game.generator(self.embed_recipe(batch), noise).pictures
        return drawn

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of the critics, of the generator, and last of the towers."""
        image, recipe = self.embed_image(batch), self.embed_recipe(batch)
        felt: Tensor | float = 0.0
        if self.game is not None:
            felt = yield from self.game.play(image, recipe, self.photos(batch))
        yield (
            "towers",
            self.pair_loss(gathered(image), gathered(recipe), gather_batch(batch, "category")) + felt,
        )

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the ranking and class losses of embeddings, `(b, dim)` each."""
        category = given(batch.category, "category")
        classes = sum(
            classes_told(self.classifier(side) / self.temperature, category) for side in (image, recipe)
        )
        ranking = triplet(image, recipe, self.margin, self.mining, self.temperature)
        return ranking + self.class_weight * classes

    def players(self) -> dict[str, list[nn.Parameter] | list[dict[str, Any]]]:
        """Return the towers with the classifier, the generator and both critics."""
        towers = [one for name, one in self.named_parameters() if not name.startswith("game.")]
        if self.game is None:
            return {"towers": towers}
        critics = [*self.game.lifelike.parameters(), *self.game.origin.parameters()]
        return {
            "towers": towers,
            "generator": [player(list(self.game.generator.parameters()), self.rates[0])],
            "critic": [player(critics, self.rates[1])],
        }


class TwoCritics(Game):
    """R2GAN's game: a generator, and critics that say real or drawn, and drawn from a photo or a recipe.

    Args:
        generator: draws from embeddings.
        lifelike: the critic that says real or drawn.
        origin: the critic that says drawn from a photo's or from a recipe's embedding.
        weights: of `rank`, `fool`, `divergence` and `reconstruction`.
        ranking: margin, mining and temperature of the pictures' ranking.
        weight: of the game in the towers' loss.
        begins: epoch, from 1, from which on they feel it.
        at_once: pairs of a step, about.
    """

    def __init__(
        self,
        generator: PictureGenerator,
        lifelike: PictureCritic,
        origin: PictureCritic,
        weights: dict[str, float],
        ranking: tuple[float, str, float],
        *,
        weight: float,
        begins: int,
        at_once: int,
    ) -> None:
        super().__init__(weight, begins)
        self.generator, self.lifelike, self.origin = generator, lifelike, origin
        self.weights, self.ranking, self.at_once = weights, ranking, at_once

    def play(
        self, image: Tensor, recipe: Tensor, photos: Tensor
    ) -> Generator[tuple[str, Tensor], None, Tensor]:
        """Yield the losses of "critic" and "generator", `at_once` pairs at a time; return the towers'.

        As `savor.generators.Translation.play`; embeddings `(b, dim)`, photos `(b, 3, size, size)`.
        """
        vectors = torch.stack([image, recipe], 1)
        felt = vectors.detach().requires_grad_()
        parts = torch.arange(len(image), device=image.device).chunk(max(1, round(len(image) / self.at_once)))
        for part in parts:
            own = eased(felt[part].transpose(0, 1).flatten(0, 1), self.pull)
            drawn, mean, log_variance = self.generator(own)
            yield "critic", self.critic_loss(drawn, photos[part])
            divergence = self.weights["divergence"] * standard_normal_divergence(mean, log_variance)
            yield "generator", self.generator_loss(drawn, photos[part]) + divergence
        gradient = torch.zeros_like(felt) if felt.grad is None else felt.grad / len(parts)
        return ((vectors - vectors.detach()) * gradient).sum()

    def critic_loss(self, drawn: Tensor, photos: Tensor) -> Tensor:
        """Return both critics' loss of pictures `(2b, 3, h, w)`, b drawn from photos, then b from recipes."""
        drawn = drawn.detach()
        real, fake = (self.lifelike.real(self.lifelike(pictures)) for pictures in (photos, drawn))
        from_photo, from_recipe = self.origin.real(self.origin(drawn)).chunk(2)
        losses = told_apart(real, fake), told_apart(from_photo, from_recipe)
        self.note(told_apart=losses[0], origin_told=losses[1])
        return losses[0] + losses[1]

    def generator_loss(self, drawn: Tensor, photos: Tensor) -> Tensor:
        """Return the generator's loss of the same pictures; the critics get no gradient from it."""
        from_recipe = drawn[len(photos) :]
        with unlearning(self.lifelike, self.origin):
            states, real = self.lifelike(drawn), self.lifelike(photos).detach()
            lifelike = taken_for_real(self.lifelike.real(states))
            fooling = (lifelike + taken_for_real(self.origin.real(self.origin(from_recipe)))) / 2
        ranking = triplet(unit(real), unit(states[len(photos) :]), *self.ranking)
        difference = (drawn - photos.repeat(2, 1, 1, 1)).abs().mean()
        self.note(taken_for_real=fooling, picture_rank=ranking, picture_error=difference)
        weights = self.weights
        loss = weights["rank"] * ranking + weights["fool"] * fooling
        return loss + weights["reconstruction"] * difference
