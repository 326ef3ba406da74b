"""The arithmetic of the quality report, on curves whose difference is known."""
import math
import unittest

import quality
import rival


class BjontegaardDifference(unittest.TestCase):
    anchor = [(1e6, 34.0), (2e6, 37.0), (4e6, 40.0), (8e6, 42.5)]

    def test_the_same_curve_differs_by_nothing(self):
        self.assertAlmostEqual(quality.bd_rate(self.anchor, self.anchor), 0, places=6)

    def test_a_tenth_more_bits_everywhere_is_ten_percent(self):
        more = [(rate * 1.1, q) for rate, q in self.anchor]
        self.assertAlmostEqual(quality.bd_rate(self.anchor, more), 10, places=6)
        self.assertAlmostEqual(quality.bd_rate(more, self.anchor), (1 / 1.1 - 1) * 100, places=6)

    def test_curves_without_a_common_quality_are_refused(self):
        with self.assertRaises(ValueError):
            quality.bd_rate(self.anchor, [(rate, q + 20) for rate, q in self.anchor])


class WorstSecond(unittest.TestCase):
    def test_a_dip_at_a_join_is_found_and_one_elsewhere_is_not(self):
        theirs = [(40.0, 0.97)] * 500
        ours = list(theirs)
        ours[200:210] = [(34.0, 0.9)] * 10
        ours[300:310] = [(20.0, 0.5)] * 10
        drop, where = quality.worst_second_near([4, 8, 16], 25, ours, theirs)
        self.assertEqual(where, 8)
        self.assertGreater(drop, 1)
        self.assertLess(drop, 6)

    def test_mean_psnr_is_over_the_error(self):
        self.assertAlmostEqual(quality.means([(30.0, 0.9), (30.0, 0.9)])[0], 30)
        self.assertAlmostEqual(quality.means([(30.0, 0.9), (100.0, 0.9)])[0], 30 + 10 * math.log10(2), places=4)


class Rival(unittest.TestCase):
    def test_the_cascade_scales_from_the_rung_above(self):
        graph = ";".join(rival.scaling(rival.Recipe("cascade", 1, 1), 720))
        self.assertEqual(graph, "[0:v]null,split=2[v0][n0];[n0]scale=854:480,split=2[v1][n1];[n1]scale=640:360[v2]")


if __name__ == "__main__":
    unittest.main()
